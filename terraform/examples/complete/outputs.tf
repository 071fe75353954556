output "delegation" {
  description = "What to enter at the registrar."
  value       = module.edge.delegation
}

output "join_code_command" {
  description = "Prints the join code on the machine."
  value       = module.edge.join_code_command
}

output "join_command" {
  description = "What to run at home."
  value       = module.edge.join_command
}

output "aws_request" {
  description = "The text for AWS's form."
  value       = module.edge.aws_request
}
