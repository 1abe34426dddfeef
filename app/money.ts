export { hours, money } from '#components/ui/money.ts';
