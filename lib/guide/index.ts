/**
 * The guide: the Markdown files of docs/ and the pictures of docs/images, which the portal shows at /help as well.
 *
 * It promises that a name leads to a file of those two folders or to none, and that a link which works in a forge's view of
 * docs/ works at /help too. It reads those files, from where the process was started, and touches nothing else. It does not
 * know how Markdown is shown.
 */
export { guideImage, guideMap, guideNames, guidePage, helpHref, type GuideGroup, type GuidePage } from './pages.ts';
