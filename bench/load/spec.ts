/** One load on one server: what is sent, how, for how long. */
export interface LoadSpec {
  /**
   * `kept`: autocannon over kept connections. `fresh`: a new connection for every request, as nginx's
   * `auth_request` opens them. `stream`: connections that only receive. `bulk`: large bodies.
   * `fill`: one request for each token, then no more; `duration` does not count.
   */
  readonly kind: 'kept' | 'fresh' | 'stream' | 'bulk' | 'fill';
  readonly port: number;
  readonly method: 'GET' | 'POST';
  /** One path is taken at random by weight for each request. */
  readonly paths: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  /** A small body; empty: none. */
  readonly body: string;
  /** Size of a body of no interest, for `bulk`. Bytes; 0: none. */
  readonly bodySize: number;
  readonly connections: number;
  readonly tokens: TokenChoice;
  /** How paths and tokens are drawn: all alike, or by Zipf's law (the n-th with weight 1/n). */
  readonly draw: 'uniform' | 'zipf';
  /** The status every answer must have; any other counts as an error. */
  readonly expect: number;
  /** Milliseconds before counting begins. */
  readonly warmUp: number;
  /** Milliseconds during which requests are counted. */
  readonly duration: number;
  /** Root of the process tree whose CPU time and memory are measured. */
  readonly watch: number;
  /** Processes of the bench itself; what any others spend disturbs the measurement. */
  readonly ours: readonly number[];
}

/** Which access tokens requests carry. */
export interface TokenChoice {
  readonly secret: string;
  /** Epoch seconds. */
  readonly issuedAt: number;
  /** Number of the first user. */
  readonly from: number;
  /** So many users; 0: no token; Infinity is not JSON, so -1: every request another one. */
  readonly count: number;
  /** Appended to each token, so that its signature is wrong. */
  readonly spoil: string;
}

/** Milliseconds. */
interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

/** What one load gave. */
export interface LoadResult {
  /** Answers, or events of a stream, per second. */
  readonly rate: number;
  readonly latency: Latency;
  /** Body bytes per second, both ways. */
  readonly bytesPerSecond: number;
  /** CPU time of the server's whole process tree per answer. Microseconds. */
  readonly cpu: number;
  /** Cores the server's process tree kept busy. */
  readonly serverLoad: number;
  /** Cores the load generator kept busy: near 1, it is the limit and not the server. */
  readonly generatorLoad: number;
  /** Cores that programs outside the bench kept busy: much more than 0, and the figures say little. */
  readonly foreignLoad: number;
  /** Resident memory of the server's process tree at the end. Bytes. */
  readonly rss: number;
  readonly errors: number;
}
