import { bundle } from './bundle';

export default bundle(import.meta.glob('./zh-CN/*.json', { eager: true, import: 'default' }));
