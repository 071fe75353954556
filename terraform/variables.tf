# General

variable "name" {
  description = "Names the machine and all that belongs to it."
  type        = string
  default     = "postern-edge"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Give 2 to 31 lower-case letters, digits and hyphens that begin with a letter."
  }
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}

# The machine

variable "instance_type" {
  description = "The machine. The edge needs 512 MB; the image is for Arm (t4g, c7g, ...)."
  type        = string
  default     = "t4g.nano"

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.instance_type))
    error_message = "Give an Arm type, such as \"t4g.nano\": the image is for Arm."
  }
}

variable "volume_size" {
  description = "The disk, in GiB."
  type        = number
  default     = 8

  validation {
    condition     = var.volume_size >= 8
    error_message = "The image needs 8 GiB at least."
  }
}

variable "package_url" {
  description = "Where the machine fetches the Debian package of postern-edge for arm64 at its first start."
  type        = string

  validation {
    condition     = can(regex("^https://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+$", var.package_url))
    error_message = "Give an address that begins with https:// and has neither spaces nor quotes."
  }
}

variable "package_sha256" {
  description = "The SHA-256 of that package in hexadecimal; the machine installs no other."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "Give the 64 lower-case hexadecimal digits that `sha256sum` prints."
  }
}

# The network

variable "vpc_cidr" {
  description = "The IPv4 network of the machine's own VPC. Choose another where it meets a network of yours."
  type        = string
  default     = "10.91.0.0/24"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 1)) && tonumber(try(split("/", var.vpc_cidr)[1], 0)) >= 16 && tonumber(try(split("/", var.vpc_cidr)[1], 99)) <= 28
    error_message = "Give an IPv4 prefix of 16 to 28 bits, such as \"10.91.0.0/24\"."
  }
}

variable "mail_ports" {
  description = "TCP ports that are forwarded to home: the same as [forward] ports in edge.toml."
  type        = set(number)
  default     = [25, 443, 465, 587, 993, 995]

  validation {
    condition     = alltrue([for port in var.mail_ports : port >= 1 && port <= 65535 && port != 53])
    error_message = "Give port numbers of 1 to 65535; 53 is the name server's."
  }
}

variable "tunnel_port" {
  description = "The UDP port that home dials: the same as [tunnel] port in edge.toml."
  type        = number
  default     = 51820

  validation {
    condition     = var.tunnel_port >= 1 && var.tunnel_port <= 65535 && var.tunnel_port != 53
    error_message = "Give a port number of 1 to 65535; 53 is the name server's."
  }
}

# Home

variable "home_identity" {
  description = "The home that may join without a code: what `postern-home identity` prints there. No secret."
  type        = string
  default     = ""

  validation {
    condition     = var.home_identity == "" || can(regex("^[A-Za-z0-9+/]{43}=$", var.home_identity))
    error_message = "Give the 44 characters that `postern-home identity` prints, or nothing."
  }
}

# Names: second steps, for when the domain exists

variable "mail_host" {
  description = "The name that the address is to have in reverse (PTR), such as mail.home.example. Set it once that name has this address: AWS looks."
  type        = string
  default     = ""

  validation {
    condition     = var.mail_host == "" || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]([a-z0-9-]*[a-z0-9])?$", var.mail_host))
    error_message = "Give a host name without a final dot, such as \"mail.home.example\"."
  }
}

variable "registered_domain" {
  description = "A domain registered with Route 53 Domains in this account whose name servers and glue are to be set. Empty: the outputs say what to enter elsewhere."
  type        = string
  default     = ""

  validation {
    condition     = var.registered_domain == "" || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]([a-z0-9-]*[a-z0-9])?$", var.registered_domain))
    error_message = "Give a domain name without a final dot, such as \"home.example\"."
  }
}

variable "ds_key" {
  description = "The public key of the domain's DNSSEC, as `postern-home dns ds DOMAIN` shows it: algorithm, flags and key in base64. Only with registered_domain."
  type = object({
    algorithm  = number
    flags      = optional(number, 257)
    public_key = string
  })
  default = null

  validation {
    condition     = var.ds_key == null || var.registered_domain != ""
    error_message = "Give registered_domain too: a DS record belongs to a registered domain."
  }
}

# The alarm

variable "alarm_actions" {
  description = "ARNs that are told (an SNS topic, for instance) when the machine fails and is recovered by AWS."
  type        = list(string)
  default     = []
}
