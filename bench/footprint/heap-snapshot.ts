import { readFileSync, statSync } from 'node:fs';

/** The parts of V8's snapshot format that are read here. */
interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly (readonly string[])[];
    };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

/** Live bytes by kind of object: the constructor's name, or the type where there is none. */
export async function heapByKind(file: string): Promise<Map<string, number>> {
  const { snapshot, nodes, strings } = await whole(file);
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field));
  const bytes = new Map<string, number>();
  for (let i = 0; i < nodes.length; i += fields.length) {
    const kindOfNode = types[0]?.[nodes[i + (type ?? 0)] ?? 0] ?? 'unknown';
    const kind =
      kindOfNode === 'object' ? (strings[nodes[i + (name ?? 0)] ?? 0] ?? kindOfNode) : `(${kindOfNode})`;
    bytes.set(kind, (bytes.get(kind) ?? 0) + (nodes[i + (size ?? 0)] ?? 0));
  }
  return bytes;
}

/** Waits until the file has been written to its end. */
async function whole(file: string): Promise<Snapshot> {
  for (let size = -1; ; ) {
    const now = statSync(file).size;
    if (now === size && now > 0) {
      try {
        return JSON.parse(readFileSync(file, 'utf8')) as Snapshot; // V8 writes its own format
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error; // a pause in the middle of writing
      }
    }
    size = now;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
