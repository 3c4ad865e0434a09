/** A person the sandbox's IAM knows. */
export interface SandboxUser {
  readonly id: number;
  readonly email: string;
  readonly password: string;
  readonly roles: readonly string[];
  readonly permissions: readonly string[];
  readonly organizationId: number;
}

const ALL = ['workflow.execute', 'dataset.read', 'model.use'];

/** The ready users: one may run jobs, one may only read, one may use GPUs too. */
export const USERS = {
  scientist: {
    id: 1,
    email: 'scientist@sandbox.local',
    password: 'scientist',
    roles: ['researcher'],
    permissions: ALL,
    organizationId: 10,
  },
  viewer: {
    id: 2,
    email: 'viewer@sandbox.local',
    password: 'viewer',
    roles: ['viewer'],
    permissions: ['dataset.read'],
    organizationId: 10,
  },
  gpu: {
    id: 3,
    email: 'gpu@sandbox.local',
    password: 'gpu',
    roles: ['researcher', 'gpu_user', 'dgx_access'],
    permissions: ALL,
    organizationId: 20,
  },
} as const satisfies Record<string, SandboxUser>;
