variable "name" {
  description = "Names the machine and all that belongs to it."
  type        = string
  default     = "postern-edge"
}

variable "instance_type" {
  description = "The machine. The edge needs 512 MB; the image is for Arm."
  type        = string
  default     = "t4g.nano"
}

variable "ssh_public_key" {
  description = "The key that may log in as admin, in OpenSSH's format."
  type        = string

  validation {
    condition     = can(regex("^(ssh-|ecdsa-|sk-)", var.ssh_public_key))
    error_message = "Give the public key itself, as in ~/.ssh/id_ed25519.pub, not the name of its file."
  }
}

variable "home_identity" {
  description = "The home that may join without a code: what `postern-home identity` prints there. No secret."
  type        = string
  default     = ""

  validation {
    condition     = var.home_identity == "" || can(regex("^[A-Za-z0-9+/]{43}=$", var.home_identity))
    error_message = "Give the 44 characters that `postern-home identity` prints, or nothing."
  }
}

variable "ssh_from" {
  description = "IPv4 networks from which SSH is let in. None by default."
  type        = list(string)
  default     = []
}

variable "mail_ports" {
  description = "TCP ports that are forwarded to home: the same as [forward] ports in edge.toml."
  type        = set(number)
  default     = [25, 443, 465, 587, 993, 995]
}

variable "tunnel_port" {
  description = "The UDP port that home dials: the same as [tunnel] port in edge.toml."
  type        = number
  default     = 51820
}
