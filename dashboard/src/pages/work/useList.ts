import { type InfiniteData, useInfiniteQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { usePolling } from '@/api/live';
import type { NounOf } from '@/api/paths';
import { type PageOf, request, type RequestOptions } from '@/api/client';

export interface List<T> {
  items: T[];
  error: unknown;
  isPending: boolean;
  more: () => void;
  again: () => void;
}

const PAGE = 200;

/** A long list, newest first: a page at a time as somebody scrolls, and kept fresh. */
export function useList<T>(noun: NounOf<'GET'>, query: NonNullable<RequestOptions['query']>): List<T> {
  const polling = usePolling(5);
  const list = useInfiniteQuery<PageOf<T>, Error, InfiniteData<PageOf<T>>, unknown[], string>({
    queryKey: [noun, 'list', query],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      request('GET', `/${noun}`, { query: { page_size: PAGE, ...query, page_token: pageParam }, signal }),
    getNextPageParam: (last) => last.next_page_token,
    placeholderData: (before) => before,
    refetchInterval: polling,
  });
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  // A page may be short, even empty, when much is hidden from whoever asks: then nobody could scroll to the next one.
  const goesOn = items.length < PAGE && list.hasNextPage && !list.isError;
  const { isFetching, fetchNextPage } = list;
  useEffect(() => {
    if (goesOn && !isFetching) void fetchNextPage();
  }, [goesOn, isFetching, fetchNextPage]);
  return {
    items,
    error: list.error,
    isPending: list.isPending || (items.length === 0 && goesOn),
    more: () => {
      if (list.hasNextPage && !list.isFetching) void list.fetchNextPage();
    },
    again: () => void list.refetch(),
  };
}
