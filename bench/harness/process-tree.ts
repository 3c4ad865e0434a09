import { readdirSync, readFileSync } from 'node:fs';

/** What a process and all its descendants have used up to now. */
export interface Usage {
  /** CPU time of all threads, user and system. Microseconds. */
  readonly cpu: number;
  /** Resident memory. Bytes. */
  readonly rss: number;
  readonly processes: number;
}

/** Clock ticks of `/proc/<pid>/stat` per second: 100 on every Linux Node runs on. */
const TICK = 10_000;

const PAGE = 4096;

/**
 * Reads the usage of a process tree from `/proc`. Nanoseconds by thread (`schedstat`) where the kernel keeps
 * them, clock ticks by process else. A thread that ended meanwhile is missing from the sum: servers keep theirs.
 */
export function usageOf(root: number): Usage {
  let cpu = 0;
  let rss = 0;
  const pids = treeOf(root);
  for (const pid of pids) {
    cpu += threadTime(pid) ?? processTime(pid);
    rss += Number(read(`/proc/${pid}/statm`).split(' ')[1] ?? 0) * PAGE;
  }
  return { cpu, rss, processes: pids.length };
}

/** The process and its descendants. */
export function treeOf(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statFields(pid)[1] ?? 0);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  const tree = [root];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i] ?? 0) ?? []));
  return tree;
}

function threadTime(pid: number): number | null {
  let nanoseconds = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] || 0);
    }
  } catch {
    return null; // gone meanwhile
  }
  return nanoseconds === 0 ? null : nanoseconds / 1000;
}

function processTime(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK;
}

/** Fields of `stat` behind the command's name, which may hold spaces: state, parent, … */
function statFields(pid: number): string[] {
  const line = read(`/proc/${pid}/stat`);
  return line.slice(line.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // the process ended between listing and reading
  }
}
