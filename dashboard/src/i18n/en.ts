import { bundle } from './bundle';

export default bundle(import.meta.glob('./en/*.json', { eager: true, import: 'default' }));
