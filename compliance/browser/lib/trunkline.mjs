// The processes under test: `trunkline serve` and `trunkline echo`, started on a port of the system's choosing, and
// ended by their own pid.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 15_000;

export class Trunkline {
  #args;
  #child;
  #directory;

  /** Starts `trunkline <verb> --listen 127.0.0.1:0` and waits until it says where it listens. */
  static async start(verb) {
    const trunkline = new Trunkline();
    // A directory of its own, so that no trunkline.toml of the person who runs this has a say.
    trunkline.#directory = await mkdtemp(join(tmpdir(), 'trunkline-browser-'));
    trunkline.#args = [verb, '--listen'];
    trunkline.port = await trunkline.#spawn('127.0.0.1:0');
    return trunkline;
  }

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Gone without a word, as a crash or the kernel's out-of-memory killer would have it. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** The same again on the same port; what it knew is forgotten. */
  async restart() {
    await this.#spawn(`127.0.0.1:${this.port}`);
  }

  /** Asked to stop: it says so to everybody, and goes. */
  async terminate() {
    await this.#end('SIGTERM');
  }

  async stop() {
    await this.terminate();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #spawn(listen) {
    const child = spawn(process.env.TRUNKLINE, [...this.#args, listen], {
      cwd: this.#directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let said = '';
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`trunkline ${this.#args[0]}: ${why}; it said:\n${said}`));
      const late = setTimeout(() => fail(`says no address within ${START_MS / 1000} s`), START_MS);
      const listening = (chunk) => {
        // Read on for ever: a full pipe would stop the server.
        if (said.length < 64 * 1024) said += chunk;
        const match = /listening on \w+:\/\/127\.0\.0\.1:(\d+)/.exec(said);
        if (match) resolve(Number(match[1]));
        if (match) clearTimeout(late);
      };
      child.stdout.on('data', listening);
      child.stderr.on('data', listening);
      child.on('error', ({ message }) => fail(message));
      child.on('exit', (code, signal) => fail(`ended with ${signal ?? code}`));
    });
  }

  async #end(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
    await exit;
    clearTimeout(late);
  }
}
