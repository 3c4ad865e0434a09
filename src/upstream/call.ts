import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Route } from '../config/routes.ts';

/** What a target did wrong. */
export type TargetFault = 'refused' | 'reset' | 'timeout' | 'protocol';

/**
 * Why there is no answer: a target's fault (502, or 504 for `timeout`), a service that takes no more requests
 * for the moment (503: `overloaded`, no place came free; `circuit_open`, all targets are given up), or a body
 * beyond the route's limit (413).
 */
export type UpstreamFault = TargetFault | 'overloaded' | 'circuit_open' | 'too_large';

/** An upstream's 101: it speaks another protocol from here on. */
export interface UpgradeAnswer {
  /** Headers for the client, flat, without those of the hop. */
  readonly headers: readonly string[];
  /** Headers as received, names in lower case. */
  readonly raw: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket: Socket;
}

/** One request to be forwarded, as the forwarder sees it. The pipeline's exchange is one. */
export interface UpstreamCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  /** Method as received. */
  readonly method: string;
  /** Path and query for the upstream, prefix stripped. */
  readonly upstreamPath: string;
  /** Headers for the upstream that are the client's own, and the body's length; flat. */
  readonly upstreamHeaders: string[];
  /** Lines of those that are the gateway's to set, ready to be sent. */
  readonly gatewayLines: string;
  readonly traceId: string;
  readonly hasBody: boolean;
  /** Whether the body's length is unknown; trailers may follow it. */
  readonly chunked: boolean;
  /** Whether the client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
  /** The whole body, where it was already read; null: it is still to come. */
  readonly body: Buffer | null;
  /** The protocol the upstream is asked to switch to; null: HTTP it stays. */
  readonly upgradeProtocol: string | null;
  /** What the gateway says about the page that asks, flat, in place of what the service says; null: nothing. */
  readonly cors: readonly string[] | null;
  /** Headers the gateway adds to the answer, flat. */
  readonly answerHeaders: readonly string[];
  /** Set when the answer is an event stream. */
  eventStream: boolean;
  /** Bytes of the request's body that were read for the upstream. */
  bodyBytes: number;
  /** Bytes of the answer's body that were handed to the client's connection. */
  bytesOut: number;
  /** Milliseconds from forwarding to the answer's head; -1 before. */
  upstreamMs: number;
  /** Whether an answer must be let through by {@link hold} before any of it is sent. */
  readonly held: boolean;
  /** Calls `proceed` once an answer of this status may begin; never, where it was refused meanwhile. */
  hold(status: number, proceed: () => void): void;
  /**
   * Told when no answer came and nothing was sent to the client yet.
   * @param retryAfter milliseconds after which another try may go better; 0: unknown
   */
  upstreamFailed(fault: UpstreamFault, retryAfter: number): void;
  /** Takes the upstream's connection over. False: the 101 does not answer what was asked, nothing was taken. */
  upgraded(answer: UpgradeAnswer): boolean;
}
