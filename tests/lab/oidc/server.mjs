// A real OpenID provider (npm `oidc-provider`) over TLS on a free port, which it prints: node server.mjs CERT KEY TTL
// TTL: seconds that a device code lives. People log in at /login/UID?login=NAME&amr=pwd,otp&acr=phr after the provider's own page
// has taken their code; nobody is asked for a password. What a test wants to go wrong it says by POST /lab, as JSON:
//   {"rotate": true}        from here on another key signs, and only that one is published
//   {"next": [ANSWER, …]}   answers of the token endpoint, in their order, instead of its own: {"status": 400, "body": "…"};
//                           {"id_token": "…"} is its own answer with another token, {"hang": true} is none at all
// The answer says when the token endpoint was asked, in milliseconds: {"polls": [17, …]}.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const [cert, key, ttl] = process.argv.slice(2);
// Standard output is for one line, after which nobody reads it.
console.info = console.error;
let issuer;

// One memory for all providers of this process: a new key does not forget who is logging in.
const memory = new Map();
class Memory {
  constructor(model) { this.model = model; }
  id(id) { return `${this.model}:${id}`; }
  async upsert(id, payload) { memory.set(this.id(id), payload); }
  async find(id) { return memory.get(this.id(id)); }
  async findByUserCode(code) { return this.by('userCode', code); }
  async findByUid(uid) { return this.by('uid', uid); }
  by(member, value) {
    for (const [id, payload] of memory) if (id.startsWith(`${this.model}:`) && payload[member] === value) return payload;
  }
  async consume(id) { memory.get(this.id(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { memory.delete(this.id(id)); }
  async revokeByGrantId(grant) { for (const [id, payload] of memory) if (payload.grantId === grant) memory.delete(id); }
}

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const client = (id, more) => ({
  client_id: id, grant_types: [DEVICE], response_types: [], redirect_uris: [], token_endpoint_auth_method: 'none',
  id_token_signed_response_alg: 'ES256', ...more,
});
const next = [];
const polls = [];
let keys = 0;

function provide() {
  keys += 1;
  const kid = `key-${keys}`;
  const jwk = (type, options, alg) => ({
    ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: `${kid}-${alg}`, use: 'sig', alg,
  });
  const provider = new Provider(issuer, {
    adapter: Memory,
    clients: [
      client('quarterdeck'),
      client('other'),
      client('rsa', { id_token_signed_response_alg: 'RS256' }),
      client('confidential', { client_secret: 'kept-by-the-lab', token_endpoint_auth_method: 'client_secret_basic' }),
      client('browser', { grant_types: ['authorization_code'], response_types: ['code'], redirect_uris: [`${issuer}/never`] }),
    ],
    jwks: { keys: [jwk('ec', { namedCurve: 'P-256' }, 'ES256'), jwk('rsa', { modulusLength: 2048 }, 'RS256')] },
    acrValues: ['phr', 'pwd'],
    claims: { openid: ['sub', 'amr'], profile: ['preferred_username'], acr: null, auth_time: null },
    conformIdTokenClaims: false,
    cookies: { keys: ['of the lab'] },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
    },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: `sub-${id}`, preferred_username: id }) }),
    interactions: { url: (ctx, interaction) => `/login/${interaction.uid}` },
    // Whoever has logged in has agreed.
    async loadExistingGrant(ctx) {
      const { accountId } = ctx.oidc.session;
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
    ttl: { DeviceCode: Number(ttl), IdToken: 60, AccessToken: 60, Grant: 600, Interaction: 600, Session: 600 },
  });
  provider.use(async (ctx, then) => {
    if (ctx.path === '/device/auth') {
      await then();
      // The provider leaves it at the default of five seconds, for which no test should wait.
      if (ctx.status === 200) ctx.body = { ...ctx.body, interval: 1 };
    } else if (ctx.path === '/token' && polls.push(Date.now()) && next.length) {
      const answer = next.shift();
      if (answer.hang) { ctx.respond = false; return; }
      if (answer.id_token) {
        await then();
        // Not before somebody has logged in.
        if (ctx.status === 200) ctx.body = { ...ctx.body, id_token: answer.id_token };
        else next.unshift(answer);
        return;
      }
      ctx.status = answer.status;
      ctx.type = 'application/json';
      ctx.body = answer.body;
    } else {
      await then();
    }
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider;
}

let provider;
const read = async (request) => { let text = ''; for await (const part of request) text += part; return text; };

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, async (request, response) => {
  try {
    const url = new URL(request.url, issuer);
    if (url.pathname === '/lab') {
      const wish = JSON.parse(await read(request));
      if (wish.rotate) provider = provide();
      if (wish.next) next.push(...wish.next);
      response.end(JSON.stringify({ polls }));
    } else if (url.pathname.startsWith('/login/')) {
      const words = (name) => url.searchParams.get(name) ?? undefined;
      await provider.interactionFinished(request, response, {
        login: { accountId: words('login'), amr: words('amr')?.split(','), acr: words('acr') },
      });
    } else {
      await provider.callback()(request, response);
    }
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end(String(error));
  }
});
server.listen(0, '127.0.0.1', () => {
  issuer = `https://localhost:${server.address().port}`;
  provider = provide();
  console.log(`listens at ${issuer}`);
});
