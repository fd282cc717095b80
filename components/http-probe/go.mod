module http-probe

go 1.25

require everwit.dev/guest v0.0.0

replace everwit.dev/guest => ../../guest-sdk/go
