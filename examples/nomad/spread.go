package nomad

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

// mostLoads is how many nodes a job says something of.
const mostLoads = 64

// spread prefers nodes with fewer pods. Each pod is a job of its own, so what the
// engine has to spread the parts of a job is of no use, and its own algorithm fills
// one node after the other.
//
// A node that has more pods than another is to be avoided. A node without pods is not in
// loads. Between nodes that have the same, and for launches that do not know of each
// other yet, chance decides, by the ids of the nodes.
func spread(loads map[string]int) (all []affinity) {
	nodes := slices.SortedFunc(maps.Keys(loads), func(a, b string) int { return cmp.Or(cmp.Compare(loads[b], loads[a]), cmp.Compare(a, b)) })
	if len(nodes) > 0 {
		least, most := loads[nodes[len(nodes)-1]], loads[nodes[0]]
		for _, id := range nodes[:min(len(nodes), mostLoads)] {
			weight := -20 // better than those with more, and worse than one with none
			if most > least {
				weight -= 80 * (loads[id] - least) / (most - least)
			}
			all = append(all, affinity{"${node.unique.id}", id, "=", weight})
		}
	}
	for i, weight := range []int{8, 4, 2} {
		digits := []byte("0123456789abcdef")
		rand.Shuffle(len(digits), func(i, j int) { digits[i], digits[j] = digits[j], digits[i] })
		pattern := "^" + []string{"", ".", ".."}[i] + "[" + string(digits[:8]) + "]"
		all = append(all, affinity{"${node.unique.id}", pattern, "regexp", weight})
	}
	return all
}
