import { Anchor, type AnchorProps, Button, type ButtonProps } from '@mantine/core';
import { createLink } from '@tanstack/react-router';
import { type AnchorHTMLAttributes, forwardRef } from 'react';

type AnchorBase = AnchorProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof AnchorProps>;
type ButtonBase = ButtonProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps>;

const PlainAnchor = forwardRef<HTMLAnchorElement, AnchorBase>((props, ref) => <Anchor ref={ref} {...props} />);
const PlainButton = forwardRef<HTMLAnchorElement, ButtonBase>((props, ref) => (
  <Button ref={ref} component="a" {...props} />
));

/** A link inside the dashboard. */
export const TextLink = createLink(PlainAnchor);
/** A link that looks like a button. */
export const ButtonLink = createLink(PlainButton);
