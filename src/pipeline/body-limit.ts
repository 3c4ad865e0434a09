import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, refusals } from './verdict.ts';

/**
 * Refuses a declared length beyond the route's limit before anybody is asked about the request. A body of
 * undeclared length is counted while it passes.
 */
export const bodyLimit: Stage = {
  name: 'request',
  decide({ head, route }: Exchange) {
    return head.contentLength !== '' && Number(head.contentLength) > route.maxBody
      ? refusals.bodyTooLarge
      : ALLOW;
  },
};
