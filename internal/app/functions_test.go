package app

// functionValues are more of values, for the room of functions.
var functionValues = []string{
	"lambda:GetLayerVersion", "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:name", "arn:aws:lambda:us-east-1:000000000000:layer:name:1",
	"arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0",
	"arn:aws:lambda:us-east-1:000000000000:function:name:1/durable-execution/name/1",
}
