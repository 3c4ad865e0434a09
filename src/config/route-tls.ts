import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import type { FileReader } from './fields.ts';

/** What connections to the targets of a route need of TLS. Contents of the files, in PEM. */
export interface RouteTls {
  /** Who may have signed the targets' certificates, instead of the system's authorities. */
  readonly ca?: string;
  /** The gateway's own certificate for these targets, and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** The name in the targets' certificates, where it is not that of the URL. */
  readonly servername?: string;
}

const path = z.string('expected a path to a PEM file').min(1, 'expected a path to a PEM file').optional();

/**
 * The `tls` field of a row: paths of files, which are read here, so that what is missing or does not fit stops
 * the start.
 * @param read takes relative paths from the routes file's folder
 */
export function tlsField(read: FileReader) {
  return z
    .strictObject({ ca: path, cert: path, key: path, serverName: z.string().min(1).optional() })
    .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'expected cert and key together')
    .transform(({ serverName, ...files }, context): RouteTls => {
      const tls: Record<string, string> = serverName === undefined ? {} : { servername: serverName };
      try {
        for (const [name, file] of Object.entries(files)) {
          if (file !== undefined) tls[name] = read(file);
        }
        createSecureContext(tls);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        context.addIssue({ code: 'custom', message: `is of no use: ${why}` });
      }
      return tls;
    });
}
