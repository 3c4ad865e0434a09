import { AdminServer } from '../admin/admin-server.ts';
import type { ReloadReport } from '../admin/readiness.ts';
import { ConfigError } from '../config/config.ts';
import type { ConfigSource, Reading } from '../config/config-source.ts';
import { describeConfig } from '../config/describe-config.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { PrimaryMetrics } from '../telemetry/primary-metrics.ts';
import { FileWatch } from './file-watch.ts';
import type { FirstWorker } from './first-worker.ts';
import { Fleet } from './fleet.ts';
import { FleetMetrics } from './fleet-metrics.ts';

/** Looks after the workers, serves the admin port, reads the configuration anew, and ends all of it in order. */
export class Primary {
  readonly #source: ConfigSource;
  readonly #log: Logger;
  readonly #admin: AdminServer;
  readonly #fleet: Fleet;
  readonly #metrics: PrimaryMetrics;
  readonly #fleetMetrics = new FleetMetrics();
  readonly #watch = new FileWatch(() => void this.#reload('ROUTES_FILE changed'));
  readonly #startedAt = Date.now();
  #reading: Reading;
  #lastReload: ReloadReport | null = null;
  #reloading = false;
  #reloadAgain: string | null = null;
  #draining = false;

  private constructor(source: ConfigSource, reading: Reading) {
    this.#source = source;
    this.#reading = reading;
    this.#log = createLogger(reading.config.logLevel, 'primary');
    this.#fleet = new Fleet(reading, this.#log, {
      metrics: (member, reply) => this.#fleetMetrics.heard(member, reply),
      ended: (member, how) => {
        this.#fleetMetrics.ended(member);
        this.#metrics.workerEnded(how);
      },
      empty: () => this.#exit(0, 'gateway stopped'),
      crashLoop: () => {
        this.#fleet.kill();
        this.#exit(1, 'workers die at start again and again: see the errors above');
      },
    });
    this.#metrics = new PrimaryMetrics(() => this.#workerStates());
    this.#admin = new AdminServer(
      () => ({
        startedAt: this.#startedAt,
        draining: this.#draining,
        reloading: this.#reloading,
        lastReload: this.#lastReload,
        config: this.#reading.config,
        workers: this.#fleet.members,
      }),
      async () => [
        await this.#metrics.registry.getMetricsAsJSON(),
        ...(await this.#fleetMetrics.collect(this.#fleet.members)),
      ],
      this.#log,
    );
  }

  /** Starts everything. Rejects where the admin port cannot be had. */
  static async start(source: ConfigSource, reading: Reading, firstWorker: FirstWorker): Promise<void> {
    const primary = new Primary(source, reading);
    const { config, warnings } = reading;
    for (const warning of warnings) primary.#log.warn(warning);
    await primary.#admin.listen(config.adminHost, config.adminPort);
    primary.#log.info({ config: describeConfig(config) }, 'gateway starting');
    process.on('SIGTERM', () => primary.#drain('SIGTERM'));
    process.on('SIGINT', () => primary.#drain('SIGINT'));
    process.on('SIGHUP', () => void primary.#reload('SIGHUP'));
    primary.#fleet.start(firstWorker);
    primary.#watch.path = config.watchedRoutes;
  }

  /** Reads the configuration anew and exchanges the workers for ones that run with it; or changes nothing. */
  async #reload(cause: string): Promise<void> {
    if (this.#draining) return;
    if (this.#reloading) {
      this.#reloadAgain = cause;
      return;
    }
    this.#reloading = true;
    const startedAt = Date.now();
    const { result, faults } = await this.#exchangeWorkers(cause);
    if (this.#draining) return;
    this.#lastReload = { at: new Date(startedAt).toISOString(), cause, result, faults };
    this.#metrics.reloaded(result);
    const took = Date.now() - startedAt;
    if (result === 'done')
      this.#log.info({ cause, took }, 'reloaded: all workers run with the new configuration');
    else if (result === 'refused') this.#log.error({ cause, faults }, 'reload refused: nothing has changed');
    else this.#log.error({ cause, faults }, 'reload incomplete: some workers run with the old configuration');
    this.#reloading = false;
    const again = this.#reloadAgain;
    this.#reloadAgain = null;
    if (again !== null) void this.#reload(again);
  }

  async #exchangeWorkers(cause: string): Promise<Pick<ReloadReport, 'result' | 'faults'>> {
    let reading: Reading;
    try {
      reading = this.#source.read(this.#reading.snapshot);
    } catch (error) {
      const faults = error instanceof ConfigError ? error.faults : [String(error)];
      return { result: 'refused', faults };
    }
    for (const warning of reading.warnings) this.#log.warn(warning);
    this.#log.info({ cause, config: describeConfig(reading.config) }, 'reloading');
    const result = await this.#fleet.roll(reading);
    if (result === 'refused')
      return { result, faults: ['a worker with it did not start: see its errors above'] };
    this.#reading = reading;
    this.#log.level = reading.config.logLevel;
    this.#watch.path = reading.config.watchedRoutes;
    return { result, faults: result === 'done' ? [] : ['a worker did not start: see its errors above'] };
  }

  #workerStates(): Record<string, number> {
    const states = { starting: 0, serving: 0, draining: 0 };
    for (const { status, retiring } of this.#fleet.members) {
      if (retiring) states.draining++;
      else if (status === null) states.starting++;
      else states.serving++;
    }
    return states;
  }

  #drain(signal: string): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#log.info({ signal, workers: this.#fleet.members.length }, 'draining');
    this.#watch.close();
    this.#fleet.drain();
  }

  #exit(code: number, message: string): void {
    if (code === 0) this.#log.info(message);
    else this.#log.fatal(message);
    this.#admin.close();
    process.exit(code);
  }
}
