/**
 * A second opinion on what requests a stream of bytes holds, written from RFC 9112 and nothing else. Where
 * the RFC leaves a choice, it refuses.
 */
export interface StrictRequest {
  readonly method: string;
  readonly target: string;
  /** Names in lower case, flat pairs. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export interface StrictReading {
  readonly requests: readonly StrictRequest[];
  /** Why reading ended: all bytes were used, more are needed, or what is wrong. */
  readonly end: 'complete' | 'incomplete' | { readonly fault: string };
}

class Fault extends Error {}
class Incomplete extends Error {}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * @param bytes one character per byte
 * @param tolerant takes what changes no request's bounds: several spaces in a request line (§3 lets a recipient
 *   do so), and ends of lines in any form before it (§2.2)
 */
export function readStrictly(bytes: string, tolerant = false): StrictReading {
  const requests: StrictRequest[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      if (bytes.startsWith('\r\n', at)) {
        at += 2; // §2.2: empty lines before the request line
        continue;
      }
      if (tolerant && /[\r\n]/.test(bytes[at] ?? '')) {
        at++;
        continue;
      }
      const reader = new Reader(bytes, at, tolerant);
      requests.push(reader.request());
      at = reader.at;
    }
    return { requests, end: 'complete' };
  } catch (error) {
    if (error instanceof Incomplete) return { requests, end: 'incomplete' };
    if (error instanceof Fault) return { requests, end: { fault: error.message } };
    throw error;
  }
}

class Reader {
  readonly #bytes: string;
  readonly #requestLine: RegExp;
  at: number;

  constructor(bytes: string, at: number, tolerant: boolean) {
    this.#bytes = bytes;
    this.at = at;
    this.#requestLine = tolerant ? /^(\S+) +(\S+) +HTTP\/1\.([01])$/ : /^(\S+) (\S+) HTTP\/1\.([01])$/;
  }

  request(): StrictRequest {
    const line = this.#line();
    const parts = this.#requestLine.exec(line);
    if (parts === null) throw new Fault('request line');
    const [, method = '', target = '', minor = ''] = parts;
    if (!TOKEN.test(method)) throw new Fault('method');
    if (!/^[\x21-\x7e]+$/.test(target)) throw new Fault('target');
    const headers = this.#fields();
    const of = (name: string) => headers.filter(([other]) => other === name).map(([, value]) => value);
    const [hosts, lengths, codings] = [of('host'), of('content-length'), of('transfer-encoding')];
    if (hosts.length > 1 || (hosts.length === 0 && minor === '1')) throw new Fault('host');
    if (codings.length > 0) {
      if (lengths.length > 0) throw new Fault('both framings');
      if (minor === '0' || codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked') {
        throw new Fault('transfer coding');
      }
      return { method, target, headers, body: this.#chunks() };
    }
    if (lengths.length > 1 || !/^\d{1,15}$/.test(lengths[0] ?? '0')) throw new Fault('content length');
    return { method, target, headers, body: this.#take(Number(lengths[0] ?? 0)) };
  }

  #chunks(): string {
    let body = '';
    for (;;) {
      // A size of 16 hexadecimal digits overflows 64 bits in some programs; leading zeros hide such a size.
      const size = /^([\da-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]+)?$/i.exec(this.#line())?.[1];
      if (size === undefined) throw new Fault('chunk size');
      const length = Number.parseInt(size, 16);
      if (length === 0) {
        this.#fields();
        return body;
      }
      body += this.#take(length);
      if (this.#take(2) !== '\r\n') throw new Fault('end of chunk');
    }
  }

  #fields(): [string, string][] {
    const fields: [string, string][] = [];
    for (let line = this.#line(); line !== ''; line = this.#line()) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon);
      const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
      if (colon < 1 || !TOKEN.test(name)) throw new Fault('field name');
      if (!FIELD_VALUE.test(value)) throw new Fault('field value');
      fields.push([name.toLowerCase(), value]);
    }
    return fields;
  }

  /** A line without its CRLF; a CR or LF alone is a fault. */
  #line(): string {
    const lf = this.#bytes.indexOf('\n', this.at);
    const line = this.#bytes.slice(this.at, lf === -1 ? undefined : lf);
    if (lf === -1) {
      if (/\r./s.test(line)) throw new Fault('lone CR');
      throw new Incomplete();
    }
    if (!line.endsWith('\r')) throw new Fault('lone LF');
    if (line.indexOf('\r') !== line.length - 1) throw new Fault('lone CR');
    this.at = lf + 1;
    return line.slice(0, -1);
  }

  #take(length: number): string {
    if (this.#bytes.length - this.at < length) throw new Incomplete();
    this.at += length;
    return this.#bytes.slice(this.at - length, this.at);
  }
}
