/* An exponential moving average without the bias of its start. */

/** Smooth values with β: s_t = β·s_(t-1) + (1-β)·v_t, given as s_t / (1-β^t), as Adam does it.

    Values that are not finite are left out: null stands in their place, and they move nothing. `counts` says how many
    stored points a value stands for. The heaviest weighs one, the others in proportion: w = count / largest count, with
    β^w in the place of β. So a point that arrives behind groups of a thousand weighs a thousandth of a group. */
export function smooth(values, beta, counts = []) {
  let heaviest = 1;
  for (const count of counts) if (count > heaviest) heaviest = count;
  let mean = 0;
  let bias = 1;
  return values.map((value, index) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return null;
    const keep = beta ** ((counts[index] ?? 1) / heaviest);
    mean = keep * mean + (1 - keep) * value;
    bias *= keep;
    return mean / (1 - bias);
  });
}
