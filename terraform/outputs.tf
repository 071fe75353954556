output "public_ipv4" {
  description = "The edge's IPv4 address: for the glue and the PTR record."
  value       = aws_eip.edge.public_ip
}

output "public_ipv6" {
  description = "The edge's IPv6 address."
  value       = one(aws_instance.edge.ipv6_addresses)
}

output "instance_id" {
  description = "The machine, for `aws ssm start-session --target`."
  value       = aws_instance.edge.id
}

output "delegation" {
  description = "What to enter at the registrar, for each domain in place of DOMAIN: name servers and their glue."
  value = join("\n", [
    for label in ["ns1", "ns2"] : "${label}.DOMAIN  ${aws_eip.edge.public_ip}  ${one(aws_instance.edge.ipv6_addresses)}"
  ])
}

output "join_code_command" {
  description = "Prints the join code on the machine; type it into `postern-home join` at home."
  value       = "aws ssm start-session --target ${aws_instance.edge.id} --document-name AWS-StartInteractiveCommand --parameters 'command=[\"sudo postern-edge invite\"]'"
}

output "join_command" {
  description = "What to run at home: with home_identity no code is needed."
  value       = var.home_identity == "" ? "postern-home join" : "postern-home join --edge ${aws_eip.edge.public_ip}:${var.tunnel_port}"
}

output "aws_request" {
  description = "The text for AWS's form \"Request to remove email sending limitations\", which opens port 25 and sets the PTR record: https://aws-portal.amazon.com/gp/aws/html-forms-controller/contactus/ec2-email-limit-rdns-request"
  value       = <<-TEXT
    Elastic IP address: ${aws_eip.edge.public_ip}
    Reverse DNS record: ${var.mail_host == "" ? "mail.DOMAIN" : var.mail_host}
    Use case: This machine carries the personal mail of a household. Its mail server sends only what its own users write,
    signed with DKIM under a domain with SPF and DMARC; it relays for nobody and sends no bulk mail. Connections to port 25
    go to the recipients' MX hosts. We expect under 200 messages a day. Bounces are handled by the mail server, and
    complaints reach postmaster and abuse at the domain.
  TEXT
}
