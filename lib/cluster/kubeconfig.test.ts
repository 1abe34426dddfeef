import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { kubeconfigName } from './connection.ts';
import { ownAccount, readKubeconfig } from './kubeconfig.ts';

let top: string;
let folder: string;

beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'flywheel-kubeconfig-'));
  folder = join(top, 'clusters');
  mkdirSync(folder);
  writeFileSync(join(top, 'outside.pem'), 'outside');
  writeFileSync(join(folder, 'inside.pem'), 'inside');
  symlinkSync(join(top, 'outside.pem'), join(folder, 'link.pem'));
});

afterAll(() => rmSync(top, { recursive: true, force: true }));

type Parts = { cluster?: object; user?: object };

function written({ cluster = {}, user = { token: 'a-token' } }: Parts): void {
  const config = {
    'current-context': 'west',
    clusters: [
      { name: 'east', cluster: { server: 'https://east.internal:6443', ...cluster } },
      { name: 'west', cluster: { server: 'https://west.internal' } },
    ],
    users: [
      { name: 'portal', user },
      { name: 'other', user: { exec: { command: 'touch' } } },
    ],
    contexts: [
      { name: 'east', context: { cluster: 'east', user: 'portal' } },
      { name: 'west', context: { cluster: 'west', user: 'other' } },
      { name: 'nowhere', context: { cluster: 'north', user: 'portal' } },
    ],
  };
  writeFileSync(join(folder, 'east.yaml'), stringify(config));
}

const read = (context: string | null = 'east') => readKubeconfig({ folder }, 'east.yaml', context);

test('a context by its name is its server, and whoever it names', () => {
  written({ cluster: { 'certificate-authority': 'inside.pem', 'tls-server-name': 'kubernetes' } });
  const config = read();
  expect(config.getCurrentCluster()).toMatchObject({
    server: 'https://east.internal:6443',
    skipTLSVerify: false,
    caData: Buffer.from('inside').toString('base64'),
    tlsServerName: 'kubernetes',
  });
  expect(config.getCurrentUser()).toMatchObject({ token: 'a-token' });
  expect(config.getCurrentUser()).not.toHaveProperty('exec');
});

test('a token may be a file of the folder, read anew each time', () => {
  written({ user: { tokenFile: 'token' } });
  for (const token of ['first', 'second']) {
    writeFileSync(join(folder, 'token'), `${token}\n`);
    expect(read().getCurrentUser()?.token).toBe(token);
  }
});

test('a client certificate and its key may be files of the folder', () => {
  written({ user: { 'client-certificate': 'inside.pem', 'client-key': join(folder, 'inside.pem') } });
  const inside = Buffer.from('inside').toString('base64');
  expect(read().getCurrentUser()).toMatchObject({ certData: inside, keyData: inside });
});

test.each<[string, Parts, RegExp]>([
  ['a program', { user: { token: 't', exec: { command: 'sh' } } }, /user portal in east.yaml names a program to run/],
  ['an auth-provider', { user: { 'auth-provider': { name: 'gcp' } } }, /names an auth-provider/],
  ['any certificate', { cluster: { 'insecure-skip-tls-verify': true } }, /would trust any server/],
  ['a proxy', { cluster: { 'proxy-url': 'socks5://10.0.0.1:1080' } }, /goes by a proxy/],
  ['somebody else’s name', { user: { token: 't', as: 'system:admin' } }, /says as, which is not accepted/],
  ['a password', { user: { username: 'admin', password: 'x' } }, /says username, which is not accepted/],
  ['plain http', { cluster: { server: 'http://east.internal' } }, /a server that is not https/],
  ['no server', { cluster: { server: '' } }, /no server that is an address/],
  ['nobody', { user: {} }, /neither a token nor a client certificate/],
  ['half a certificate', { user: { 'client-certificate': 'inside.pem' } }, /neither a token nor a client certificate/],
  ['an authority outside', { cluster: { 'certificate-authority': '../outside.pem' } }, /outside the folder/],
  ['a key outside', { user: { 'client-certificate': 'inside.pem', 'client-key': '../outside.pem' } }, /outside the f/],
  ['a token outside, by its whole path', { user: { tokenFile: '/etc/hostname' } }, /tokenFile of east.yaml is outside/],
  ['a link that leads outside', { cluster: { 'certificate-authority': 'link.pem' } }, /outside the folder/],
  ['a file that is not there', { user: { tokenFile: 'gone' } }, /tokenFile of east.yaml is not there/],
])('%s is refused in words', (_, parts, says) => {
  written(parts);
  expect(() => read()).toThrow(says);
});

test('what another context names is none of this one’s', () => {
  written({});
  expect(() => read('east')).not.toThrow();
  // The current one, which is another's with a program to run.
  expect(() => read(null)).toThrow(/user other in east.yaml names a program to run/);
  expect(() => read('nowhere')).toThrow(/names a cluster north that is not in it/);
  expect(() => read('south')).toThrow(/has no context south/);
});

test('what is no kubeconfig is refused without being quoted', () => {
  writeFileSync(join(folder, 'east.yaml'), 'token: "kanarienvogel');
  expect(() => read()).toThrow('the kubeconfig east.yaml is no YAML');
  writeFileSync(join(folder, 'east.yaml'), '- kanarienvogel');
  expect(() => read()).toThrow('the kubeconfig east.yaml is no kubeconfig');
});

test.each(['../east.yaml', '/etc/passwd', 'a/b', '..', '.hidden', ''])('%j is no name of a mounted file', (name) => {
  expect(kubeconfigName.test(name)).toBe(false);
});

test('the pod’s own account is read anew, with the authority beside it', () => {
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '10.0.0.1');
  vi.stubEnv('KUBERNETES_SERVICE_PORT', '443');
  const place = join(top, 'var/run/secrets/kubernetes.io/serviceaccount');
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'ca.crt'), 'the authority');
  for (const token of ['first', 'second']) {
    writeFileSync(join(place, 'token'), token);
    const config = ownAccount(top);
    expect(config.getCurrentCluster()).toMatchObject({
      server: 'https://10.0.0.1:443',
      caData: Buffer.from('the authority').toString('base64'),
    });
    expect(config.getCurrentUser()).toEqual(expect.objectContaining({ token }));
    expect(config.getCurrentUser()?.authProvider).toBeUndefined();
  }
});
