// An OpenID provider (npm: oidc-provider) for the tests: public clients, the device flow, and the pages of its development
// mode, which take any name without a password.
//
//   node provider.mjs PACKAGES DIRECTORY PORT
//
// PACKAGES is where node_modules is. The signing key is kept in DIRECTORY/signing.json; without it a new one is made, and
// put as PKCS#1 into DIRECTORY/signing.der besides, so that a test can sign as the provider does. PORT 0 takes a free one.
// One line of JSON says where it is.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [packages, directory, port] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(join(packages, 'node_modules/oidc-provider/lib/index.js')));

function signingKey() {
  const at = join(directory, 'signing.json');
  if (!existsSync(at)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(join(directory, 'signing.der'), privateKey.export({ type: 'pkcs1', format: 'der' }));
    writeFileSync(at, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' }));
  }
  return JSON.parse(readFileSync(at));
}

const device = 'urn:ietf:params:oauth:grant-type:device_code';
const client = (client_id) => ({
  client_id, token_endpoint_auth_method: 'none', application_type: 'native', redirect_uris: [], response_types: [],
  grant_types: [device, 'refresh_token'],
});

const server = createServer();
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client('credence'), client('another-program')],
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    jwks: { keys: [signingKey()] },
    cookies: { keys: [randomUUID()] },
    // A program that polls is not told to wait: no test shall take the seconds that a person does.
    ttl: { DeviceCode: 600, IdToken: 600, AccessToken: 600, Interaction: 600, Session: 600, Grant: 600, RefreshToken: 600 },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});

// Whoever started it does not leave it behind.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
