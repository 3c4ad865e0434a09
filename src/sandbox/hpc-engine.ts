import { type Address, type Call, fieldsOf, JsonService, type Reply } from './http-service.ts';

const CPU_HOURS = 120;
const GPU_HOURS = 24;

/** The HPC policy engine's behaviour on the wire (contract §5): roles and partitions, budgets of hours. */
export class SandboxHpcEngine {
  readonly service: JsonService;
  readonly #spent: Map<string, { cpu: number; gpu: number }>;

  private constructor(service: JsonService, spent: Map<string, { cpu: number; gpu: number }>) {
    this.service = service;
    this.#spent = spent;
  }

  static async start(address?: Address): Promise<SandboxHpcEngine> {
    const spent = new Map<string, { cpu: number; gpu: number }>();
    return new SandboxHpcEngine(await JsonService.start((call) => evaluate(call, spent), address), spent);
  }

  get url(): string {
    return this.service.url;
  }

  close(): Promise<void> {
    return this.service.close();
  }

  /** Takes hours off a user's budget. */
  spend(userId: string, cpu: number, gpu: number): void {
    const before = this.#spent.get(userId) ?? { cpu: 0, gpu: 0 };
    this.#spent.set(userId, { cpu: before.cpu + cpu, gpu: before.gpu + gpu });
  }
}

function evaluate(call: Call, spent: Map<string, { cpu: number; gpu: number }>): Reply {
  const { user_id: user, roles, gpus, partition, cpu_hours: cpu, gpu_hours: gpu } = fieldsOf(call.body);
  if (typeof user !== 'string' || !Array.isArray(roles) || !Number.isInteger(gpus)) {
    return { status: 422, body: { detail: 'invalid body' } };
  }
  if (call.path === '/jobs/evaluate') {
    if (Number(gpus) > 0 && !roles.includes('gpu_user')) return no(partition, 'GPU access denied');
    if (partition === 'dgx-a100' && !roles.includes('dgx_access')) return no(partition, 'DGX access denied');
    return { body: { allow: true, reason: 'allowed', partition } };
  }
  if (call.path !== '/quota/check') return { status: 404, body: { detail: 'Not Found' } };
  const used = spent.get(user) ?? { cpu: 0, gpu: 0 };
  const left = { remaining_cpu_hours: CPU_HOURS - used.cpu, remaining_gpu_hours: GPU_HOURS - used.gpu };
  if (Number(cpu) > left.remaining_cpu_hours)
    return { body: { allow: false, reason: 'CPU hours exhausted', ...left } };
  if (Number(gpu) > left.remaining_gpu_hours)
    return { body: { allow: false, reason: 'GPU hours exhausted', ...left } };
  return { body: { allow: true, reason: 'within quota', ...left } };
}

function no(partition: unknown, reason: string): Reply {
  return { body: { allow: false, reason, partition } };
}
