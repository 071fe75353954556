variable "region" {
  description = "The AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "package_url" {
  description = "Where the package of postern-edge for arm64 is."
  type        = string
}

variable "package_sha256" {
  description = "Its SHA-256."
  type        = string
}

variable "home_identity" {
  description = "What `postern-home identity` prints at home."
  type        = string
  default     = ""
}

variable "mail_host" {
  description = "The name for the PTR record; a second step."
  type        = string
  default     = ""
}

variable "registered_domain" {
  description = "A domain of Route 53 Domains; a second step."
  type        = string
  default     = ""
}

variable "ds_key" {
  description = "Its DNSSEC key; a second step."
  type        = object({ algorithm = number, flags = optional(number, 257), public_key = string })
  default     = null
}

variable "alarm_actions" {
  description = "Who is told when AWS moves the machine."
  type        = list(string)
  default     = []
}
