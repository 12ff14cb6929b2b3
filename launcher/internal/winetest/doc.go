// Package winetest has the tests of launches on Windows: from the launch to the end, by
// programs that are killed, and many times. They run under Wine 8, not on Windows itself.
package winetest
