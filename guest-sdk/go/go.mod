module everwit.dev/guest

go 1.25
