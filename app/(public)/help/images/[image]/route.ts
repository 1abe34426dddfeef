import { guideImage } from '#lib/guide/index.ts';
import { programRoute } from '#lib/tenant/index.ts';

const headers = { 'content-type': 'image/png', 'cache-control': 'public, max-age=300' };

/** The pictures are for whoever may read the guide: anybody. */
export const GET = programRoute<{ image: string }>(
  'guide',
  async (_request, { image }) => new Response(await guideImage(image), { headers }),
);
