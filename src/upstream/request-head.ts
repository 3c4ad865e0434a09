import { Rule, ruleOf } from './header-rules.ts';

/** The head of a client's request, read once: what the stages need, and what passes to the upstream. */
export class RequestHead {
  /** End-to-end headers, flat (name, value, …), in the client's order and spelling. */
  readonly passed: string[] = [];
  /** Empty without the header. */
  authorization = '';
  authorizationCount = 0;
  host = '';
  hostCount = 0;
  traceId = '';
  traceparent = '';
  serviceToken = '';
  serviceTokenCount = 0;
  forwardedFor = '';
  forwardedProto = '';
  forwardedHost = '';
  via = '';
  /** Digits, checked by the parser, without leading zeros. Empty without the header. */
  contentLength = '';
  /** All values, joined; empty without the header. */
  transferEncoding = '';
  transferEncodingCount = 0;
  contentTypeCount = 0;
  origin = '';
  originCount = 0;
  /** Whether there is the header `Upgrade`, empty or not: the parser stops at it. */
  asksUpgrade = false;
  /** The protocols asked for; empty also where the header is. */
  upgrade = '';

  /** @param rawHeaders flat list as the parser gives it */
  constructor(rawHeaders: readonly string[]) {
    let connection = '';
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string; // both exist: the loop's condition
      const value = rawHeaders[i + 1] as string;
      const rule = ruleOf(name);
      if (rule === Rule.Pass) this.passed.push(name, value);
      else if (rule === Rule.ContentType) {
        this.contentTypeCount++;
        this.passed.push(name, value);
      } else if (rule === Rule.Origin) {
        this.origin = value;
        this.originCount++;
        this.passed.push(name, value);
      } else if (rule === Rule.Connection) connection = connection === '' ? value : `${connection},${value}`;
      else if (rule !== Rule.Drop) this.#note(rule, value);
    }
    if (connection !== '' && connection !== 'keep-alive' && connection !== 'close')
      this.#dropNamed(connection);
  }

  /** Whether a body follows the head (RFC 9112 §6.3). */
  get hasBody(): boolean {
    return this.transferEncodingCount > 0 || (this.contentLength !== '' && this.contentLength !== '0');
  }

  #note(rule: Rule, value: string): void {
    switch (rule) {
      case Rule.Authorization:
        this.authorization = value;
        this.authorizationCount++;
        break;
      case Rule.Host:
        this.host = value;
        this.hostCount++;
        break;
      case Rule.TraceId:
        this.traceId = value;
        break;
      case Rule.Traceparent:
        this.traceparent = value;
        break;
      case Rule.ServiceToken:
        this.serviceToken = value;
        this.serviceTokenCount++;
        break;
      case Rule.ForwardedFor:
        this.forwardedFor = joined(this.forwardedFor, value);
        break;
      case Rule.ForwardedProto:
        this.forwardedProto = value;
        break;
      case Rule.ForwardedHost:
        this.forwardedHost = value;
        break;
      case Rule.Upgrade:
        this.asksUpgrade = true;
        this.upgrade = joined(this.upgrade, value);
        break;
      case Rule.Via:
        this.via = joined(this.via, value);
        break;
      case Rule.ContentLength:
        this.contentLength = value.charCodeAt(0) === 0x30 ? value.replace(/^0+(?=\d)/, '') : value;
        break;
      case Rule.TransferEncoding:
        this.transferEncoding = joined(this.transferEncoding, value);
        this.transferEncodingCount++;
        break;
    }
  }

  /** Headers that `Connection` names belong to this hop (RFC 9110 §7.6.1). */
  #dropNamed(connection: string): void {
    const named = new Set(
      connection
        .toLowerCase()
        .split(',')
        .map((option) => option.trim()),
    );
    let kept = 0;
    for (let i = 0; i + 1 < this.passed.length; i += 2) {
      const name = this.passed[i] as string; // both exist: the loop's condition
      if (named.has(name.toLowerCase())) continue;
      this.passed[kept++] = name;
      this.passed[kept++] = this.passed[i + 1] as string;
    }
    this.passed.length = kept;
  }
}

function joined(list: string, value: string): string {
  return list === '' ? value : `${list}, ${value}`;
}
