/** Finding the n-th smallest without sorting: ten thousand nodes are looked at once. Pure. */

/**
 * The item that would stand at `rank` if `items` were sorted; `items` are reordered.
 * @param rank 0 ≤ rank < items.length
 */
export function nthSmallest<T>(items: T[], rank: number, compare: (a: T, b: T) => number): T {
  let low = 0;
  let high = items.length - 1;
  for (;;) {
    const pivot = items[(low + high) >> 1] as T;
    let left = low;
    let right = high;
    while (left <= right) {
      while (compare(items[left] as T, pivot) < 0) left++;
      while (compare(items[right] as T, pivot) > 0) right--;
      if (left > right) break;
      const swapped = items[left] as T;
      items[left++] = items[right] as T;
      items[right--] = swapped;
    }
    if (rank <= right) high = right;
    else if (rank >= left) low = left;
    else return items[rank] as T;
  }
}
