import { enrollmentView } from '#lib/enrollment/index.ts';
import { view } from '#lib/tenant/index.ts';

type Params = { tenant: string; enrollment: string };

export const GET = view<Params, unknown>('enrollment:see', (ctx, { params }) => enrollmentView(ctx, params.enrollment));
