// The processes under test: `trunkline serve` and `trunkline echo`, started on a port of the system's choosing, and
// ended by their own pid.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 15_000;

export class Trunkline {
  #args;
  #child;
  #directory;
  #certificate;

  /**
   * Starts `trunkline <verb> --listen 127.0.0.1:0` and waits until it says where it listens; with TLS if there is a
   * `certificate`.
   */
  static async start(verb, { certificate } = {}) {
    const trunkline = new Trunkline();
    // A directory of its own, so that no trunkline.toml of the person who runs this has a say.
    trunkline.#directory = await mkdtemp(join(tmpdir(), 'trunkline-browser-'));
    trunkline.#certificate = certificate;
    const tls = certificate ? ['--cert', certificate.cert, '--key', certificate.key] : [];
    trunkline.#args = [verb, ...tls, '--listen'];
    trunkline.port = await trunkline.#spawn('127.0.0.1:0');
    return trunkline;
  }

  get url() {
    return this.#certificate ? `https://localhost:${this.port}/` : `http://127.0.0.1:${this.port}/`;
  }

  /** The series of one metric, by what is between the braces; '' for one without labels. */
  async metric(name) {
    const text = await get(`${this.url}metrics`, this.#certificate);
    const series = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return new Map(series.map((line) => [/\{(.*)\}/.exec(line)?.[1] ?? '', Number(line.split(' ').at(-1))]));
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

/** A body, over a connection of its own. */
async function get(url, certificate) {
  const [client, options] = certificate ? [https, { ca: await readFile(certificate.cert) }] : [http, {}];
  return new Promise((resolve, reject) => {
    const request = client.get(url, { ...options, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => (body += chunk)).on('end', () => resolve(body)).on('error', reject);
    });
    request.on('error', reject);
  });
}
