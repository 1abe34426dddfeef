import { proofView } from '#lib/doctor/index.ts';
import { view } from '#lib/tenant/index.ts';

type Params = { tenant: string; enrollment: string };

export const GET = view<Params, unknown>('enrollment:see', (ctx, { params }) => proofView(ctx, params.enrollment));
