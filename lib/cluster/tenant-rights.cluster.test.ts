import { beforeAll, expect, test } from 'vitest';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import {
  accountsOf,
  clientsOf,
  discovered,
  enrolAtAll,
  may,
  mayReach,
  type Access,
  type Resource,
} from '#sandbox/test-support/tenants.ts';
import { inParallel, type ClusterClient } from './index.ts';

/*
 * A19: what each service account that lives in a tenant's namespaces may, by the API server's own word, held to a file that a
 * person can read. Every resource that it serves, with every verb, in each place; the file has what is allowed, and no more.
 */

const slug = 'rights';
const file = '../../docs/tenant-rights.md';

const places: Record<string, string | undefined> = {
  'its own': undefined,
  'the other namespace of its tenant': undefined,
  'another tenant’s': 'runners-rights-other',
  'another tenant’s cache': 'bazel-rights-other',
  'kube-system': 'kube-system',
  'the controller’s': 'arc-of-tenants',
  'the whole cluster': '',
};

/** Of what discovery does not tell: no server of ARC's kinds need be there. */
const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
/** Verbs that no request has, by what they are asked of. https://kubernetes.io/docs/reference/access-authn-authz/authorization/ */
const special: [string, Omit<Resource, 'verbs'>][] = [
  ...['roles', 'clusterroles'].flatMap((resource): [string, Omit<Resource, 'verbs'>][] =>
    ['bind', 'escalate'].map((verb) => [
      verb,
      { group: 'rbac.authorization.k8s.io', resource, namespaced: resource === 'roles' },
    ]),
  ),
  ...['users', 'groups', 'serviceaccounts'].map((resource): [string, Omit<Resource, 'verbs'>] => [
    'impersonate',
    { group: '', resource, namespaced: resource === 'serviceaccounts' },
  ]),
  ...['approve', 'sign', 'attest'].map((verb): [string, Omit<Resource, 'verbs'>] => [
    verb,
    { group: 'certificates.k8s.io', resource: 'signers', namespaced: false },
  ]),
  ['use', { group: 'policy', resource: 'podsecuritypolicies', namespaced: true }],
  ['*', { group: '*', resource: '*', namespaced: true }],
];

/** Paths that are no resource. */
const paths = ['/api', '/apis', '/healthz', '/livez', '/readyz', '/version', '/openapi/v3', '/openid/v1/jwks'].concat([
  '/.well-known/openid-configuration',
  '/metrics',
  '/logs',
  '/debug/pprof',
  '/configz',
  '/flagz',
  '/statusz',
]);

let accounts: ReturnType<typeof accountsOf>;
let clients: Record<string, ClusterClient>;
let resources: Resource[];

beforeAll(async () => {
  const cluster = await testCluster();
  await enrolAtAll(cluster, slug);
  await enrolAtAll(cluster, `${slug}-other`);
  accounts = accountsOf(slug);
  clients = await clientsOf(cluster, accounts);
  // Custom resources come with other tests; what a tenant may of ARC's is asked in any case.
  const known = await discovered(clusterClient(cluster.kubeconfigPath));
  const arcs = ['autoscalingrunnersets', 'ephemeralrunnersets', 'ephemeralrunners', 'autoscalinglisteners'].map(
    (resource) => ({ group: 'actions.github.com', resource, namespaced: true, verbs }),
  );
  resources = [...known.filter(({ group }) => group !== 'actions.github.com'), ...arcs];
}, 180_000);

/** Everything that is asked of an account there: of the whole cluster all resources, elsewhere those of a namespace. */
function questions(namespace: string): Access[] {
  const asked = (verb: string, { group, resource, subresource, namespaced }: Omit<Resource, 'verbs'>): Access[] => {
    const what = { group, resource, ...(subresource === undefined ? {} : { subresource }) };
    if (namespace === '') return [{ verb, ...what }];
    return namespaced ? [{ verb, ...what, namespace }] : [];
  };
  return [
    ...resources.flatMap((each) => each.verbs.flatMap((verb) => asked(verb, each))),
    ...special.flatMap(([verb, each]) => asked(verb, each)),
  ];
}

function named({ group, resource, subresource }: Access): string {
  return `${resource}${subresource ? `/${subresource}` : ''}${group ? ` (${group})` : ''}`;
}

/** Rows of a table: place, resource, verbs. */
async function rowsOf(who: string): Promise<string[]> {
  const client = clients[who] as ClusterClient;
  const own = accounts[who]?.namespace ?? '';
  const siblings = [`runners-${slug}`, `bazel-${slug}`].filter((each) => each !== own);
  const rows: string[] = [];
  for (const [place, known] of Object.entries(places)) {
    const namespace = place === 'its own' ? own : (known ?? siblings[0] ?? '');
    const found = new Map<string, string[]>();
    const asked = questions(namespace);
    const answers = new Map<Access, boolean>();
    await inParallel(asked, async (access) => void answers.set(access, await may(client, access)));
    for (const access of asked)
      if (answers.get(access)) found.set(named(access), [...(found.get(named(access)) ?? []), access.verb]);
    for (const [what, which] of [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
      rows.push(`| ${place} | ${what} | ${which.join(', ')} |`);
  }
  const reached: string[] = [];
  for (const path of paths) if (await mayReach(client, path)) reached.push(path);
  return [...rows, `| no resource | ${reached.join(' ')} | get |`];
}

const heading = `# What a tenant's service accounts may

By the API server's own word, for every resource that it serves, with every verb that it serves it with, in every place: the
account's own namespace, its tenant's other one, another tenant's two, kube-system, the controller's, the whole cluster. What is
not here is refused. A test asks the API server all of it again and holds the answers to this file.

People of a tenant have no account in the cluster. Nothing that runs jobs has a token of it.
`;

test('A19: is what the file says, and no more', async () => {
  expect(questions(`runners-${slug}`).length).toBeGreaterThan(250);
  const sections: string[] = [];
  for (const [who, { namespace, name }] of Object.entries(accounts)) {
    const rows = await rowsOf(who);
    const where = `${namespace.replace(slug, '<tenant>')}/${name.replace(slug, '<tenant>')}`;
    sections.push(
      `## ${who[0]?.toUpperCase()}${who.slice(1)}\n\n\`${where}\`\n\n| where | what | may |\n| --- | --- | --- |\n${rows.join('\n')}\n`,
    );
  }
  await expect([heading, ...sections].join('\n')).toMatchFileSnapshot(file);
}, 400_000);

test('A20: an account that runs jobs reads no Secret: no App’s key, no cache’s', async () => {
  for (const [who, client] of Object.entries(clients)) {
    if (who === 'a GitLab manager') continue;
    for (const verb of ['get', 'list', 'watch'])
      for (const namespace of [`runners-${slug}`, `bazel-${slug}`])
        expect({ who, verb, may: await may(client, { verb, resource: 'secrets', namespace }) }).toEqual({
          who,
          verb,
          may: false,
        });
    const read = client.call({ method: 'GET', path: `/api/v1/namespaces/runners-${slug}/secrets` }, 'secrets');
    await expect(read).rejects.toMatchObject({ code: 'forbidden' });
  }
});
