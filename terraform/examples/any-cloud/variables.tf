variable "public_addresses" {
  description = "The addresses at which the world will reach the machine, where they are known; the machine finds those of its own interface itself."
  type        = list(string)
  default     = []
}

variable "package_url" {
  description = "Where the package of postern-edge for the machine's architecture is."
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
