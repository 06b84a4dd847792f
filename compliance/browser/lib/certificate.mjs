// A certificate that nobody has signed, for localhost, made by the system's openssl.

import { execFile } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Paths of `cert` and `key`, and `spki`: the hash by which a browser is told to trust that key. */
export async function makeCertificate() {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-certificate-'));
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name));
  await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout', key, '-out', cert,
  ]);
  const { publicKey } = new X509Certificate(await readFile(cert));
  const spki = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  return { cert, key, spki, remove: () => rm(folder, { recursive: true, force: true }) };
}
