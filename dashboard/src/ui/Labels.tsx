import { Group } from '@mantine/core';
import classes from './Labels.module.css';

/** Labels as `key=value`. Data: shown as text and nothing else. */
export function Labels({ labels, wrap = false }: { labels: Record<string, string>; wrap?: boolean }) {
  return (
    <Group gap={4} wrap={wrap ? 'wrap' : 'nowrap'} component="span" className={classes.group}>
      {Object.entries(labels).map(([key, value]) => (
        <span key={key} className={classes.label} title={`${key}=${value}`}>
          {value === '' ? key : `${key}=${value}`}
        </span>
      ))}
    </Group>
  );
}
