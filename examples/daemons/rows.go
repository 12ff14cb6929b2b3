package main

import "slices"

// rows is the table of what daemons really do.
var rows = slices.Concat(recipeRows, dataRows, webRows, nameRows, proxyRows, peopleRows, agentRows)

// rowNames returns what the rows are called.
func rowNames() (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}
