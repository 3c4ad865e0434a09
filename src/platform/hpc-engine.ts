import { z } from 'zod';
import type { EngineAnswer, EngineClient } from './engine-client.ts';
import type { IdentityFacts } from './identity.ts';
import { boundedReason, type Decision, engineHeaders } from './policy-engine.ts';
import type { ResourceDemand } from './resource-demand.ts';

const answerShape = z.object({ allow: z.boolean(), reason: z.string().nullish() });

/** Asks the HPC policy engine whether a user may have what a request demands (contract §5). */
export class HpcEngine {
  readonly #client: EngineClient;

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /**
   * `/jobs/evaluate` judges roles and partition; where hours are demanded, `/quota/check` compares them with
   * the budget. Both must say yes.
   */
  async evaluate(facts: IdentityFacts, demand: ResourceDemand, traceId: string): Promise<Decision> {
    const headers = engineHeaders(traceId, facts.userId);
    const { cpuHours, gpuHours, gpus, memoryGb, partition } = demand;
    const shared = {
      user_id: facts.userId,
      cpu_hours: cpuHours,
      gpu_hours: gpuHours,
      gpus,
      partition,
      roles: facts.roles,
    };
    const jobs = this.#client.post('/jobs/evaluate', { ...shared, memory_gb: memoryGb }, headers);
    if (cpuHours === 0 && gpuHours === 0) return decisionFrom(await jobs);
    const quota = this.#client.post('/quota/check', shared, headers);
    const decision = decisionFrom(await jobs);
    const budget = decisionFrom(await quota);
    return decision.allowed ? budget : decision;
  }
}

function decisionFrom(answer: EngineAnswer): Decision {
  if ('fault' in answer) return { allowed: false, reason: `hpc_${answer.fault}`, certain: false };
  const parsed = answerShape.safeParse(answer.body);
  if (!parsed.success) return { allowed: false, reason: 'hpc_error', certain: false };
  const { allow, reason } = parsed.data;
  return { allowed: allow, reason: boundedReason(reason, allow ? 'allowed' : 'denied'), certain: true };
}
