import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A folder with certificates for one test, made by openssl. */
export class Certificates {
  readonly #folder = mkdtempSync(join(tmpdir(), 'gateway-certificates-'));
  #made = 0;

  /** A certificate for `name` and 127.0.0.1; without an issuer it signs itself and may sign others. */
  make(name: string, issuer?: CertificateFiles): CertificateFiles {
    const base = join(this.#folder, String(this.#made++));
    const files = { cert: `${base}.crt`, key: `${base}.key` };
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`],
        ...['-keyout', files.key, '-out', files.cert],
        ...(issuer === undefined
          ? []
          : ['-CA', issuer.cert, '-CAkey', issuer.key, '-addext', 'basicConstraints=critical,CA:FALSE']),
      ],
      { stdio: 'ignore' },
    );
    return files;
  }

  /** A file that is none of these. */
  get folder(): string {
    return this.#folder;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
