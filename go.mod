module github.com/podlaunch/podlaunch

go 1.25.0
