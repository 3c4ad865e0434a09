/** One line that says what goes on, on a terminal only. */
export class Progress {
  readonly #startedAt = performance.now();

  show(text: string): void {
    if (!process.stderr.isTTY) return;
    const seconds = Math.round((performance.now() - this.#startedAt) / 1000);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    process.stderr.write(`\r\x1b[2K${clock}  ${text.slice(0, (process.stderr.columns ?? 80) - 8)}`);
  }

  done(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K');
  }
}
