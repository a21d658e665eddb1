// The JavaScript SDK's half of card_vectors.py: a job is a JSON line on standard input, its answer one on standard output.
//   {"do": "sign", "card", "key", "header", "unprotected", "typed"}  ->  {"card", "canonical"}
//   {"do": "verify", "card", "keys", "typed"}                        ->  {"ok", "canonical", "why"}
// `typed` goes by the SDK's own types (its resolver's, its server's) rather than the JSON as it came.

import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(new URL('../node/package.json', import.meta.url));
const load = async name => import(pathToFileURL(require.resolve(name)).href.replace(/\.cjs$/, '.js'));
const { AgentCard, canonicalizeAgentCard, generateAgentCardSignature, verifyAgentCardSignature } = await load('@a2a-js/sdk');
const { DefaultAgentCardResolver } = await load('@a2a-js/sdk/client');
const jose = require('jose');

console.debug = () => {};

async function sign(job) {
  let card = job.typed ? AgentCard.fromJSON(job.card) : job.card;
  const canonical = canonicalizeAgentCard(card);
  card = await generateAgentCardSignature(await jose.importJWK(job.key, job.key.alg), job.header, job.unprotected)(card);
  return { card, canonical };
}

async function verify(job) {
  const card = job.typed ? new DefaultAgentCardResolver({ legacyCompat: { enabled: true } }).normalizeAgentCard(job.card) : job.card;
  const canonical = canonicalizeAgentCard(card);
  try {
    await verifyAgentCardSignature(async kid => {
      const key = job.keys.find(one => one.kid === kid);
      if (!key) throw new Error('no such key');
      return jose.importJWK(key, key.alg);
    })(card);
    return { ok: true, canonical };
  } catch (failure) {
    return { ok: false, canonical, why: failure.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  process.stdout.write(JSON.stringify(await (job.do === 'sign' ? sign(job) : verify(job))) + '\n');
}
