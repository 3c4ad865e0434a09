import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

const EXPECTED = 'expected an Ed25519 or RSA key of at least 2048 bits as PEM or JWK';

/** A key for this run, as the text of `IDENTITY_KEY`: the primary makes it, all workers sign with it. */
export function newIdentityKey(): string {
  return JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }));
}

/**
 * The keys that sign identities: the first one signs, all are published, so that a key can be exchanged.
 * @param list paths of files separated by commas, or the text of one JWK
 * @param faults gets a line for each that is no key; never any part of one
 */
export function identityKeys(
  list: string | null,
  readFile: (path: string) => string,
  faults: string[],
): readonly KeyObject[] {
  if (list === null) return [];
  const texts: [name: string, read: () => string][] = list.trimStart().startsWith('{')
    ? [['the JWK', () => list]]
    : list
        .split(',')
        .flatMap((part) => part.trim() || [])
        .map((path) => [path, () => readFile(path)]);
  return texts.flatMap(([name, read]) => {
    let text: string;
    try {
      text = read();
    } catch (error) {
      const why = error instanceof Error && 'code' in error ? error.code : 'unknown error';
      faults.push(`IDENTITY_KEY: ${name} cannot be read (${why}), ${EXPECTED}`);
      return [];
    }
    const key = privateKey(text);
    if (key === null) faults.push(`IDENTITY_KEY: ${name} is no such key, ${EXPECTED}`);
    return key ?? [];
  });
}

function privateKey(text: string): KeyObject | null {
  try {
    const key = text.trimStart().startsWith('{')
      ? createPrivateKey({ key: JSON.parse(text), format: 'jwk' })
      : createPrivateKey(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    return key.asymmetricKeyType === 'rsa' && bits >= 2048 ? key : null;
  } catch {
    return null; // said by the caller, without what the text holds
  }
}
