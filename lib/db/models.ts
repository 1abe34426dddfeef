/** Models whose rows belong to one tenant, and the column that says which. */
export const tenantModels = {
  Tenant: 'id',
  Membership: 'tenantId',
  Invitation: 'tenantId',
  Enrollment: 'tenantId',
  EnrollmentPool: 'tenantId',
  Plan: 'tenantId',
  Credential: 'tenantId',
  GithubApp: 'tenantId',
  CacheView: 'tenantId',
  CacheToken: 'tenantId',
  CacheReading: 'tenantId',
  RunnerReading: 'tenantId',
  Job: 'tenantId',
  ApprovalRequest: 'tenantId',
  RequestMessage: 'tenantId',
  Audit: 'tenantId',
  Notice: 'tenantId',
  WebhookEndpoint: 'tenantId',
  WebhookMessage: 'tenantId',
} as const;

/** Models that belong to nobody in particular. The application role reads those of `readable` without a tenant. */
export const globalModels = {
  readable: ['Pool', 'Rate', 'Cluster'],
  systemOnly: [
    'User',
    'Identity',
    'Session',
    'ForgeConnection',
    'Installation',
    'Delivery',
    'Errand',
    'BillingAccount',
    'CacheServer',
    'Task',
    'AuditHead',
    'AuditAnchor',
    'NoticeRead',
  ],
} as const;
