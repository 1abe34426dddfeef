import { credentialsSecretName } from './github-objects.ts';
import { placeImage, placePriority, placeSuffix } from './places.ts';
import {
  buildImagesAnnotation,
  dockerImagesAnnotation,
  dockerNodesAnnotation,
  managedBy,
  poolLabel,
  runtimeClassesAnnotation,
  sandboxesAnnotation,
  tenantLabel,
  tolerationsAnnotation,
  virtualMachinesAnnotation,
  type KubernetesObject,
} from './objects.ts';

/*
 * What every pod in a tenant's namespaces is held to by the API server itself, whoever makes it: ARC, gitlab-runner, a
 * Deployment of ours or somebody with a right too many (A17). Pod Security `restricted`, which those namespaces enforce, has
 * some of it; it goes with a label of the namespace, and knows nothing of tokens, nodes, limits and images.
 *
 * A tenant's second namespace, of pools with a daemon, enforces no standard: there these rules are the whole fence, and say of
 * which container what is let off. A daemon is known by its place, its name and its image, which an operator pinned.
 *
 * It is an object of the cluster and no tenant's: an operator applies it (deploy/cluster/runner-pods.yaml is these
 * objects, which a test keeps so), and the portal only looks whether it is there.
 *
 * Facts: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ (CEL, GA in 1.30; optional
 * fields `.?` from 1.29). It runs after what fills pods in, so it sees LimitRange's limits, the volume of a service account's
 * token and the two tolerations that every pod gets.
 */

export const runnerPodsPolicy = 'flywheel-runner-pods';
/** What the portal says of the catalog on the namespace; an annotation that is not there is one that says nothing. */
const said = (annotation: string) => `namespaceObject.metadata.?annotations[?'${annotation}'].orValue('').split(',')`;
const isOneOf = (annotation: string) =>
  `object.spec.?runtimeClassName.orValue('') != '' && object.spec.runtimeClassName in ${said(annotation)}`;
const everyPodGets = ['not-ready', 'unreachable', 'memory-pressure'].map((each) => `'node.kubernetes.io/${each}'`);

type Rule = { name: string; says: string; expression: string };

const containers = (condition: string) => `variables.containers.all(c, ${condition})`;
/** All but a Docker daemon, and all but any daemon. */
const unlessDocker = (condition: string) => `variables.unlessDocker.all(c, ${condition})`;
const undaemonic = (condition: string) => `variables.undaemonic.all(c, ${condition})`;
const without = (list: string, left: string) =>
  `variables.${list}.filter(c, !variables.${left}.exists(d, d.name == c.name))`;
const volumes = (condition: string) => `variables.volumes.all(v, ${condition})`;
/** What registers runners at a forge: an App's key, and a GitLab manager's token. */
const credentials = `'${credentialsSecretName('')}$|-gitlab$'`;

const variables: { name: string; expression: string }[] = [
  { name: 'containers', expression: 'object.spec.containers + object.spec.?initContainers.orValue([])' },
  { name: 'volumes', expression: 'object.spec.?volumes.orValue([])' },
  { name: 'account', expression: "object.spec.?serviceAccountName.orValue('default')" },
  { name: 'isCache', expression: "request.namespace.startsWith('bazel-')" },
  {
    // GitLab's manager speaks to the API server. A tenant's own account, which is the manager's, makes none.
    name: 'isManager',
    expression: [
      "!variables.isCache && variables.account.endsWith('-gitlab')",
      `!('${poolLabel}' in object.metadata.?labels.orValue({}))`,
      "!request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')",
    ].join(' && '),
  },
  { name: 'runsJobs', expression: '!variables.isCache && !variables.isManager' },
  { name: 'isPlace', expression: `!variables.isCache && variables.account.endsWith('${placeSuffix}')` },
  { name: 'isApart', expression: "request.namespace.startsWith('dind-')" },
  { name: 'sidecars', expression: 'variables.isApart ? object.spec.?initContainers.orValue([]) : []' },
  {
    name: 'isSandbox',
    expression: isOneOf(sandboxesAnnotation),
  },
  {
    name: 'isMachine',
    expression: isOneOf(virtualMachinesAnnotation),
  },
  {
    name: 'isOnOwnNodes',
    expression: [
      `${said(dockerNodesAnnotation)}.exists(nodes, nodes != '' && nodes.split(';').all(label, label.split('=')[0] in object.spec.?nodeSelector.orValue({}) && object.spec.nodeSelector[label.split('=')[0]] == label.split('=')[1]))`,
      `object.spec.?tolerations.orValue([]).exists(t, t.?key.orValue('') != '' && t.key in ${said(tolerationsAnnotation)})`,
    ].join(' && '),
  },
  {
    name: 'buildkit',
    expression: `variables.sidecars.filter(c, c.name == 'buildkitd' && c.?image.orValue('') != '' && c.image in ${said(buildImagesAnnotation)})`,
  },
  {
    name: 'docker',
    expression: `variables.sidecars.filter(c, variables.isMachine && variables.isOnOwnNodes && c.name == 'dockerd' && c.?image.orValue('') != '' && c.image in ${said(dockerImagesAnnotation)})`,
  },
  { name: 'unlessDocker', expression: without('containers', 'docker') },
  { name: 'undaemonic', expression: without('unlessDocker', 'buildkit') },
];

export const runnerPodRules: readonly Rule[] = [
  {
    name: 'privileged',
    says: 'no container is privileged but a Docker daemon of the catalog, in a virtual machine on nodes of its own',
    expression: unlessDocker('!c.?securityContext.?privileged.orValue(false)'),
  },
  {
    name: 'privilege-escalation',
    says: 'every container but a daemon sets allowPrivilegeEscalation to false',
    expression: undaemonic('!c.?securityContext.?allowPrivilegeEscalation.orValue(true)'),
  },
  {
    name: 'capabilities',
    says: 'every container drops ALL capabilities and adds none; BuildKit adds SETGID and SETUID',
    expression: [
      unlessDocker("'ALL' in c.?securityContext.?capabilities.?drop.orValue([])"),
      undaemonic('c.?securityContext.?capabilities.?add.orValue([]).size() == 0'),
      "variables.buildkit.all(c, c.?securityContext.?capabilities.?add.orValue([]).all(each, each in ['SETGID', 'SETUID']))",
    ].join(' && '),
  },
  {
    name: 'root',
    says: 'every container but a Docker daemon sets runAsNonRoot, by itself or by the pod, and none is user 0',
    expression: [
      'object.spec.?securityContext.?runAsUser.orValue(1) != 0',
      unlessDocker(
        'c.?securityContext.?runAsNonRoot.orValue(object.spec.?securityContext.?runAsNonRoot.orValue(false)) && c.?securityContext.?runAsUser.orValue(1) != 0',
      ),
    ].join(' && '),
  },
  {
    name: 'seccomp',
    says: 'every container but a daemon has a seccomp profile, by itself or by the pod',
    expression: undaemonic(
      "c.?securityContext.?seccompProfile.?type.orValue(object.spec.?securityContext.?seccompProfile.?type.orValue('Unconfined')) != 'Unconfined'",
    ),
  },
  {
    name: 'apparmor',
    says: 'no container but a daemon does without AppArmor',
    expression: undaemonic(
      [
        "c.?securityContext.?appArmorProfile.?type.orValue(object.spec.?securityContext.?appArmorProfile.?type.orValue('')) != 'Unconfined'",
        "object.metadata.?annotations[?('container.apparmor.security.beta.kubernetes.io/' + c.name)].orValue('') != 'unconfined'",
      ].join(' && '),
    ),
  },
  {
    name: 'selinux',
    says: 'no label of SELinux but that which the node gives',
    expression: [
      '!object.spec.?securityContext.?seLinuxOptions.hasValue()',
      containers('!c.?securityContext.?seLinuxOptions.hasValue()'),
    ].join(' && '),
  },
  {
    name: 'sysctls',
    says: 'no setting of the kernel',
    expression: 'object.spec.?securityContext.?sysctls.orValue([]).size() == 0',
  },
  {
    name: 'host-process',
    says: 'no process of the node’s, which Windows has',
    expression: [
      '!object.spec.?securityContext.?windowsOptions.?hostProcess.orValue(false)',
      containers('!c.?securityContext.?windowsOptions.?hostProcess.orValue(false)'),
    ].join(' && '),
  },
  {
    name: 'probe-hosts',
    says: 'the node is made to call nobody but the pod itself',
    expression: containers(
      [
        "['livenessProbe', 'readinessProbe', 'startupProbe'].all(p, ['httpGet', 'tcpSocket'].all(by, c[?p][?by].?host.orValue('') == ''))",
        "['postStart', 'preStop'].all(h, ['httpGet', 'tcpSocket'].all(by, c.?lifecycle[?h][?by].?host.orValue('') == ''))",
      ].join(' && '),
    ),
  },
  {
    name: 'proc-mount',
    says: 'no container unmasks /proc',
    expression: containers("c.?securityContext.?procMount.orValue('Default') == 'Default'"),
  },
  { name: 'host-pid', says: 'not among the processes of the node', expression: '!object.spec.?hostPID.orValue(false)' },
  { name: 'host-ipc', says: 'not in the IPC of the node', expression: '!object.spec.?hostIPC.orValue(false)' },
  {
    name: 'host-network',
    says: 'not in the network of the node',
    expression: '!object.spec.?hostNetwork.orValue(false)',
  },
  {
    name: 'host-ports',
    says: 'no container takes a port of the node',
    expression: containers('c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)'),
  },
  {
    name: 'host-users',
    says: 'a pod that runs jobs sets hostUsers to false, or has a kernel of its own',
    expression:
      '!variables.runsJobs || !object.spec.?hostUsers.orValue(true) || variables.isSandbox || variables.isMachine',
  },
  {
    name: 'volumes',
    says: 'no volume is of the node or of another storage: no hostPath, and a claim in the cache alone',
    expression: volumes(
      'has(v.emptyDir) || has(v.configMap) || has(v.secret) || has(v.projected) || has(v.downwardAPI) || (variables.isCache && has(v.persistentVolumeClaim))',
    ),
  },
  {
    name: 'node-name',
    says: 'the scheduler chooses the node',
    // Later it is there, because the scheduler chose.
    expression: "request.operation != 'CREATE' || object.spec.?nodeName.orValue('') == ''",
  },
  {
    name: 'placement',
    says: 'no affinity and no selection of one node, by which a pod could come beside another tenant’s',
    expression: [
      // gitlab-runner sends an empty one.
      "['nodeAffinity', 'podAffinity', 'podAntiAffinity'].all(kind, !(kind in object.spec.?affinity.orValue({})))",
      "!('kubernetes.io/hostname' in object.spec.?nodeSelector.orValue({}))",
    ].join(' && '),
  },
  {
    name: 'tolerations',
    says: `no toleration but those that every pod gets, and of taints that the namespace’s annotation ${tolerationsAnnotation} names`,
    // An empty key is every taint, and no annotation at all is a list of one empty key.
    expression: `object.spec.?tolerations.orValue([]).all(t, t.?key.orValue('') != '' && t.key in ([${everyPodGets.join(', ')}] + ${said(tolerationsAnnotation)}))`,
  },
  {
    name: 'priority',
    says: 'no priority of the system’s',
    expression: "!object.spec.?priorityClassName.orValue('').startsWith('system-')",
  },
  {
    name: 'places',
    says: `who holds a place for jobs has the priority ${placePriority}, which nobody else has, and runs the pause image alone`,
    expression: [
      `variables.isPlace == (object.spec.?priorityClassName.orValue('') == '${placePriority}')`,
      `(!variables.isPlace || (variables.volumes.size() == 0 && ${containers(
        [
          `c.image == '${placeImage}'`,
          "['command', 'args', 'env', 'envFrom', 'lifecycle'].all(field, !(field in c))",
        ].join(' && '),
      )}))`,
    ].join(' && '),
  },
  {
    name: 'service-account',
    says: 'as the account that was made for it',
    expression: `variables.isCache ? variables.account == 'default' : variables.isManager || ['-gha-rs-no-permission', '-gitlab-job', '${placeSuffix}', '-forgejo'].exists(suffix, variables.account.endsWith(suffix))`,
  },
  {
    name: 'account-token',
    says: 'no token of the API server, nor another identity of the cluster’s',
    expression: `variables.isManager || (!object.spec.?automountServiceAccountToken.orValue(true) && ${volumes(
      'v.?projected.?sources.orValue([]).all(s, has(s.secret) || has(s.configMap) || has(s.downwardAPI))',
    )})`,
  },
  {
    name: 'forge-credentials-in-volumes',
    says: 'what registers runners is in no volume of a job',
    expression: `variables.isManager || ${volumes(
      `!v.?secret.?secretName.orValue('').matches(${credentials}) && v.?projected.?sources.orValue([]).all(s, !s.?secret.?name.orValue('').matches(${credentials}))`,
    )}`,
  },
  {
    name: 'forge-credentials-in-environment',
    says: 'nor in its environment',
    expression: containers(
      `c.?envFrom.orValue([]).all(e, !e.?secretRef.?name.orValue('').matches(${credentials})) && c.?env.orValue([]).all(e, !e.?valueFrom.?secretKeyRef.?name.orValue('').matches(${credentials}))`,
    ),
  },
  {
    name: 'node-identity',
    says: 'no container is told which node it is on',
    expression: containers(
      "c.?env.orValue([]).all(e, !(e.?valueFrom.?fieldRef.?fieldPath.orValue('') in ['spec.nodeName', 'status.hostIP', 'status.hostIPs']))",
    ),
  },
  {
    name: 'ephemeral-containers',
    says: 'no container is added later',
    expression: 'object.spec.?ephemeralContainers.orValue([]).size() == 0',
  },
  {
    name: 'runtime-class',
    says: `the runtime class is one that the namespace’s annotation ${runtimeClassesAnnotation} names, and none without it`,
    expression: `!variables.runsJobs || object.spec.?runtimeClassName.orValue('') in ${said(runtimeClassesAnnotation)}`,
  },
  {
    name: 'image-pull-policy',
    says: 'every image is pulled anew: the node’s copy of a private one is nobody else’s',
    expression: containers("c.?imagePullPolicy.orValue('') == 'Always'"),
  },
  {
    name: 'limits',
    says: 'every container has limits of cpu, memory and ephemeral-storage',
    expression: containers(
      "['cpu', 'memory', 'ephemeral-storage'].all(resource, resource in c.?resources.?limits.orValue({}))",
    ),
  },
  {
    name: 'deadline',
    says: 'a pod that runs one job ends some time: activeDeadlineSeconds',
    expression: "object.spec.?restartPolicy.orValue('Always') == 'Always' || has(object.spec.activeDeadlineSeconds)",
  },
];

const matched = {
  matchLabels: { 'app.kubernetes.io/managed-by': managedBy },
  matchExpressions: [{ key: tenantLabel, operator: 'Exists' }],
};

/** The policy and its binding, to be applied by an operator. Other rules and another selector are for tests. */
export function runnerPodsObjects(
  rules: readonly Rule[] = runnerPodRules,
  name = runnerPodsPolicy,
  namespaceSelector: object = matched,
): KubernetesObject[] {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const metadata = { name, labels: { 'app.kubernetes.io/managed-by': managedBy } };
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata,
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          namespaceSelector,
          resourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['pods', 'pods/ephemeralcontainers', 'pods/resize'],
            },
          ],
        },
        // A pod that is older than a rule must still be able to lose its finalizers.
        matchConditions: [
          {
            name: 'the-spec-is-new',
            expression: "request.operation == 'CREATE' || object.spec != oldObject.spec",
          },
        ],
        variables,
        validations: rules.map((rule) => ({
          expression: rule.expression,
          message: `${rule.name}: ${rule.says}`,
          reason: 'Forbidden',
        })),
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ];
}
